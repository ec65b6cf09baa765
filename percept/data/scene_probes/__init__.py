"""Scene probes: fine-grained skills asked of the scene world, balanced by construction (simulated, with exact truth).

Each module draws twins, two scenes alike but for one thing and a sentence for each that is false of the other:
`actions` (who does what to whom), `numbers` (what there is and how many), `places` and `families` (where), `bindings`
(what belongs to what). `sets` makes probe sets of them, `variants` their changed pictures.
"""

from percept.data.scene_probes.families import FAMILIES
from percept.data.scene_probes.sets import SKILLS, scene_probes, scene_twins
from percept.data.scene_probes.variants import VARIANTS

__all__ = ["FAMILIES", "SKILLS", "VARIANTS", "scene_probes", "scene_twins"]
