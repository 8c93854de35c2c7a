// Package report turns the harness's measurements into documents: a Markdown table, plots, and the
// performance section of the README.
//
// A directory of results holds
//
//	environment.json  where, when and of what, and the cases
//	samples.jsonl     one [Sample] a line, as measured
//	results.md        all figures
//	*.svg             ratios, latencies, curves
//
// The last two follow from the first two and can be made again at any time.
package report
