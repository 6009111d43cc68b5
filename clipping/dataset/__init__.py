"""What an output holds: names, records, the manifest, what an earlier run has done."""
