"""Many trainings: launched, resumed, compared."""
