"""Reload without redeploy: how a rulebook gets into a running session, from files or from a signed bundle.

    watch, read     a home folder changes, and is read as it stood at one moment
    pipeline        a candidate is loaded, checked, proved and tried on past decisions: accepted, refused, or the same
    last_good, kept_bundles, history, status    what is kept on disk, for cold starts, rollbacks and whoever asks
    bundle, keys, remote          one signed file for a fleet, and how it is fetched

Nothing here knows a router, and the swap is the session's. What of it is needed (a store of rulebooks, whether a
rulebook can run, what was decided) is handed in.
"""
