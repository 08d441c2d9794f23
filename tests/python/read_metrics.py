"""Reads metrics from stdin with the parser of Prometheus' own library, and prints them as JSON: sample to number.

It ends with an error where a family has no HELP or TYPE, or occurs twice, or a sample does, or where the buckets of a
histogram do not grow up to its count.
"""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

text = sys.stdin.read()
samples = {}
families = set()
for family in text_string_to_metric_families(text):
    assert family.documentation, f"{family.name} has no HELP"
    assert family.type in ("counter", "gauge", "histogram"), f"{family.name} is {family.type}"
    assert family.name not in families, f"{family.name} occurs twice"
    families.add(family.name)
    buckets = {}
    for sample in family.samples:
        labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
        key = sample.name + ("{" + labels + "}" if labels else "")
        assert key not in samples, f"{key} occurs twice"
        samples[key] = sample.value
        of = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
        if sample.name.endswith("_bucket"):
            buckets.setdefault(of, []).append((float(sample.labels["le"]), sample.value))
        if sample.name.endswith("_count"):
            assert buckets[of] == sorted(buckets[of]), f"{key}: bounds grow"
            counts = [count for _, count in buckets[of]]
            assert counts == sorted(counts) and counts[-1] == sample.value, f"{key}: {counts}"
assert text.count("# HELP ") == text.count("# TYPE ") >= len(families)
print(json.dumps(samples))
