"""Training persons cut out with a margin, in tar files of a folder or URL.

writer   writes them, with their index
store    where they lie: a folder or URL
reader   reads them one by one, in any order
"""
