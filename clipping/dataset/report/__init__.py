"""`report.html`: what an output holds, to look at in a browser, from a folder or a bucket.

One page with the sums, what failed and histograms, and beside it the clips as small scripts with
data, a few thousand rows each, loaded when they are scrolled to. (Scripts, since a browser lets a
page that was opened from a folder read nothing else.)
"""
