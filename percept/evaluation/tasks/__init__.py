"""Tasks of the frozen-feature battery: pictures with their truth, closed-form probes, scores item by item."""
