"""The model: profiles, features and vectors of users, the census, and the K-Means that judges by frozen centres. Pure."""
