"""What tests the suite itself: servers and clients of which it is known whether they are right.

`broken` and `clients.broken` hold those that are wrong on purpose, `variants` and `clients.lawful` those that are right in
another way; `meeting` lets the suite meet them.  `automatic` puts one small fault after the other into the reference
instead, and `survivors.toml` says why some of these cannot be found.
"""
