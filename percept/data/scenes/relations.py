"""Spatial relations that can be read off a scene's picture."""

from percept.data.scenes.world import CANONICAL, Scene

_MARGIN = 0.04 * CANONICAL  # px at the canonical size; smaller offsets are not called a relation


def relations(scene: Scene) -> list[tuple[int, str, int]]:
    """Relations between named things.

    ``left of``/``right of``: the seen boxes do not overlap sideways. ``above``/``below``: they do not overlap in height
    and do overlap sideways. ``in front of``/``behind``: both on the ground, boxes overlap, depths differ by a fifth.

    Returns:
        (subject, relation, object) with positions in ``scene.things``; each relation appears with its inverse. The
        scene's action comes first if both of its things are named.
    """
    found: list[tuple[int, str, int]] = []
    if scene.action and {scene.action[0], scene.action[2]} <= set(scene.named):
        found.append(scene.action)
    for first in scene.named:
        for second in scene.named:
            if first < second:
                found += _between(scene, first, second)
    return found


def _between(scene: Scene, first: int, second: int) -> list[tuple[int, str, int]]:
    left, top, right, bottom = scene.visibility[first][1]
    left2, top2, right2, bottom2 = scene.visibility[second][1]
    if right + _MARGIN <= left2:
        return [(first, "left of", second), (second, "right of", first)]
    if right2 + _MARGIN <= left:
        return [(second, "left of", first), (first, "right of", second)]
    if bottom + _MARGIN <= top2:
        return [(first, "above", second), (second, "below", first)]
    if bottom2 + _MARGIN <= top:
        return [(second, "above", first), (first, "below", second)]
    near, far = scene.things[first], scene.things[second]
    if near.floating or far.floating or max(top, top2) >= min(bottom, bottom2):
        return []
    if near.depth * 1.2 < far.depth:
        return [(first, "in front of", second), (second, "behind", first)]
    if far.depth * 1.2 < near.depth:
        return [(second, "in front of", first), (first, "behind", second)]
    return []
