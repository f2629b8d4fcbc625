"""What analysts keep in the warehouse, clusters and recommendations, and the items that these are made of."""
