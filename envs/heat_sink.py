"""What a group's heat is rejected to, outdoor air or its wet bulb, and the water that costs."""

from gridhash.envs.jit import njit


@njit
def sprays(is_wet: float, spray_off_below_c: float, outdoor_c: float) -> bool:
    """Return whether a tower wets its coil: it must not where the spray could freeze."""
    return is_wet > 0.0 and outdoor_c >= spray_off_below_c


@njit
def sink_temp_c(
    is_wet: float, spray_off_below_c: float, outdoor_c: float, wet_bulb_c: float
) -> float:
    """Return the temperature that heat is rejected to [°C].

    Wet bulb where a wet tower sprays, dry bulb otherwise: the approach of a tower is to the wet
    bulb, that of a dry cooler to the dry bulb (6,730 models, Energies 16 (2023) 3661).
    """
    return wet_bulb_c if sprays(is_wet, spray_off_below_c, outdoor_c) else outdoor_c


@njit
def wetted_share(
    is_wet: float, spray_off_below_c: float, dry_share: float, outdoor_c: float
) -> float:
    """Return the share of full heat rejection that is there [0-1].

    A wet tower without spray is a small dry cooler: it keeps `dry_share` of its kW/K.
    """
    if is_wet > 0.0 and not sprays(is_wet, spray_off_below_c, outdoor_c):
        return dry_share
    return 1.0


@njit
def spray_water_kg(
    rejected_kwh: float,
    water_kg_per_kwh: float,
    is_wet: float,
    spray_off_below_c: float,
    outdoor_c: float,
) -> float:
    """Return the make-up water of a tower in an interval, none while its spray is off [kg].

    `water_kg_per_kwh` is `psychrometrics.tower_water_kg_per_kwh`.
    """
    if not sprays(is_wet, spray_off_below_c, outdoor_c):
        return 0.0
    return max(rejected_kwh, 0.0) * water_kg_per_kwh
