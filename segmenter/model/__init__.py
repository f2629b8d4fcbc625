"""The model: profiles, features and vectors of users, the census, and K-Means with frozen centres. Pure."""
