//! May we? Cases, modes, the protected list, the lifeline, blast radius, warrants.
