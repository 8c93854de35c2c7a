package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// table is all measurements as Markdown: the environment, and a table for each case.
func (r Results) table() string {
	var b strings.Builder
	e := r.Environment
	fmt.Fprintf(&b,
		"# Results of %s\n\nMade by `%s` at commit %s, on %d cores of %s, Linux %s, load average before: %s.\n\n",
		e.Date, e.Command, e.Commit, e.CPULen, e.CPU, e.Kernel, e.Load)
	b.WriteString("Versions: " + strings.Join(versions(e), ", ") + ".\n\n")
	b.WriteString(
		"Figures are medians of the rounds, less is better. A ratio is to the best OpenSSL-based server of the table in the same round:\n" +
			"median (least to greatest of all rounds).\n")
	for _, note := range e.Notes {
		fmt.Fprintf(&b, "\n- %s", note)
	}
	b.WriteString("\n")
	rows := r.standings()
	for _, c := range e.Cases {
		b.WriteString("\n## " + c.Name + "\n\n" + c.Title)
		for _, a := range aims(c, rows) {
			b.WriteString(" " + a.String())
		}
		b.WriteString("\n\n")
		b.WriteString(caseTable(c, rows))
	}
	b.WriteString(r.missed(rows))
	return b.String()
}

func versions(e Environment) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(e.Versions)) {
		list = append(list, name+" "+e.Versions[name])
	}
	return list
}

// A column is left out of a table in which all its cells are empty.
type column struct {
	head string
	cell func(standing) string
}

func caseTable(c Case, all []standing) string {
	var rows []standing
	for _, row := range all {
		if row.Case.Name == c.Name {
			rows = append(rows, row)
		}
	}
	columns := []column{
		{c.Point, func(row standing) string {
			if c.Point == "" {
				return ""
			}
			return fmt.Sprint(row.Point)
		}},
		{"server", func(row standing) string { return row.Server }},
		{"rounds", func(row standing) string { return ifValid(row, fmt.Sprint(row.Rounds)) }},
		{c.Unit, func(row standing) string { return ifValid(row, number(row.Figure)) }},
		{"ratio", func(row standing) string { return row.Ratio.String() }},
		{"to the first " + c.Point, func(row standing) string { return number(row.Growth) }},
		{"per second", func(row standing) string { return number(row.PerSecond) }},
		{"p50 µs", func(row standing) string { return number(row.Latency.P50) }},
		{"p99 µs", func(row standing) string { return number(row.Latency.P99) }},
		{"p99.9 µs", func(row standing) string { return number(row.Latency.P999) }},
		{"resumed", func(row standing) string { return share(row.Resumed) }},
	}
	for _, name := range moreNames(rows) {
		columns = append(columns, column{
			name,
			func(row standing) string { return number(row.More[name]) },
		})
	}
	columns = append(columns, column{
		"core taken by others",
		func(row standing) string { return percent(row.Others) },
	})
	columns = append(columns, column{
		"invalid",
		func(row standing) string { return strings.ReplaceAll(row.Invalid, "|", "/") },
	})
	return markdown(columns, rows)
}

func moreNames(rows []standing) []string {
	names := make(map[string]bool)
	for _, row := range rows {
		for name := range row.More {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func markdown(columns []column, rows []standing) string {
	if len(rows) == 0 {
		return "Not measured.\n"
	}
	columns = slices.DeleteFunc(columns, func(c column) bool {
		return !slices.ContainsFunc(rows, func(row standing) bool { return c.cell(row) != "" })
	})
	var b strings.Builder
	for _, c := range columns {
		b.WriteString("| " + c.head + " ")
	}
	b.WriteString("|\n" + strings.Repeat("|---", len(columns)) + "|\n")
	for _, row := range rows {
		for _, c := range columns {
			b.WriteString("| " + c.cell(row) + " ")
		}
		b.WriteString("|\n")
	}
	return b.String()
}

func ifValid(row standing, text string) string {
	if row.Rounds == 0 {
		return ""
	}
	return text
}

// String is "0.75 (0.71 to 0.78)", or empty without a ratio. If the rounds' ratios lie on both
// sides of 1, it says that no difference was shown.
func (s ratio) String() string {
	if s.Median == 0 {
		return ""
	}
	text := fmt.Sprintf("%.2f (%.2f to %.2f)", s.Median, s.Min, s.Max)
	if s.Min < 1 && s.Max > 1 {
		text += ", no difference shown"
	}
	return text
}

// number has three significant digits; 0 is empty.
func number(v float64) string {
	switch {
	case v == 0:
		return ""
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// percent omits values below the resolution of the kernel's clock.
func percent(v float64) string {
	if v < 0.01 {
		return ""
	}
	return fmt.Sprintf("%.0f %%", 100*v)
}

func share(v float64) string {
	if v < 0 {
		return ""
	}
	return fmt.Sprintf("%.2f %%", 100*v)
}
