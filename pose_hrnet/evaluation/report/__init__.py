"""A results file as a page: its numbers with intervals, its errors, and pictures of them.

numbers     what a results file is worth and where it errs, all that the page tells
findings    the same in sentences
examples    the persons whose pictures show it
changes     two results files side by side: what changed, and where most
page        numbers, charts and pictures, put together
write       the whole of it, into a file
"""
