"""How sweeps get to be driven, without importing what drives them."""
