package report_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"reprise/benchmarks/report"
)

func Example() {
	dir, err := os.MkdirTemp("", "report-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	r := report.Results{
		Environment: report.Environment{Cases: []report.Case{{Name: "resumed13", Unit: "CPU µs", Best: true}}},
		Samples: []report.Sample{
			{Case: "resumed13", Server: "reprise", Round: 1, Figure: 150},
			{Case: "resumed13", Server: "hitch", OpenSSL: true, Round: 1, Figure: 200},
		},
	}
	if err := r.Write(dir); err != nil {
		panic(err)
	}
	table, err := os.ReadFile(filepath.Join(dir, "results.md"))
	for line := range strings.Lines(string(table)) {
		if strings.HasPrefix(line, "|") {
			fmt.Print(line)
		}
	}
	fmt.Println(err)
	// Output:
	// | server | rounds | CPU µs | ratio |
	// |---|---|---|---|
	// | reprise | 1 | 150 | 0.75 (0.75 to 0.75) |
	// | hitch | 1 | 200 | 1.00 (1.00 to 1.00) |
	// <nil>
}
