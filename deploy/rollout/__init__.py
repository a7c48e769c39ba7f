"""A judged, reversible rollout: shadow, canary, verdict, promotion or rollback."""
