// Prints what an HdrHistogram that is not ours finds in a log: an array of intervals, and the sum of them all.
const fs = require("fs");
const hdr = require(process.argv[2] + "/node_modules/hdr-histogram-js");
const reader = new hdr.HistogramLogReader(fs.readFileSync(process.argv[3], "utf8"), 64);
const all = hdr.build({
  bitBucketSize: 64, lowestDiscernibleValue: 1, highestTrackableValue: 3600000000, numberOfSignificantValueDigits: 3,
});
const show = (h) => ({
  start_ms: h.startTimeStampMsec, count: h.totalCount, p50: h.getValueAtPercentile(50), p90: h.getValueAtPercentile(90),
  p99: h.getValueAtPercentile(99), p99_9: h.getValueAtPercentile(99.9), max: h.maxValue,
});
const intervals = [];
for (let h; (h = reader.nextIntervalHistogram()) !== null;) {
  all.add(h);
  intervals.push(show(h));
}
console.log(JSON.stringify({ intervals, all: show(all) }));
