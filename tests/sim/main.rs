//! Stands in for a target that is not in this branch yet.
