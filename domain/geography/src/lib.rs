//! Places: postal-code centroids, provinces and states, each with its uncertainty.
