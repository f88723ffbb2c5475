"""The main job, end to end, on real data: GeoNames' places, gathered into hexagons of H3."""
