"""The commands: the module `NAME` is `improto NAME`, and `check_pair` is `improto check pair`.

Each is what the command line loads (`improto.cli`).  What several of them share is in `checking`.  Nothing outside of this
package imports it.
"""
