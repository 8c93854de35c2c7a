package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The README's performance section stands between these lines.
const (
	begin = "<!-- performance: begin -->"
	end   = "<!-- performance: end -->"
)

// UpdateREADME replaces the performance section of the file readme by one made
// from r, whose directory is dir.
func (r Results) UpdateREADME(readme, dir string) error {
	text, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	base, err := filepath.Abs(filepath.Dir(readme))
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	link, err := filepath.Rel(base, dir)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("%s: no lines %s and %s to write between", readme, begin, end)
	}
	info, err := os.Stat(readme)
	if err != nil {
		return err
	}
	section := begin + "\n" + r.section(filepath.ToSlash(link)) + end
	return os.WriteFile(readme, []byte(before+section+after), info.Mode().Perm())
}

// section is the performance section: the ratios, what was measured where,
// and what is not claimed. The files of r are linked under the path link.
func (r Results) section(link string) string {
	var b strings.Builder
	e := r.Environment
	fmt.Fprintf(&b, "Measured on %s at commit %s, on %d cores of %s, Linux %s. `make bench` repeats it;\n"+
		"[all figures](%s/%s), and [how they are made](benchmarks/README.md).\n\n", e.Date, e.Commit, e.CPULen, e.CPU, e.Kernel, link, tableFile)
	b.WriteString(r.ratioTable())
	fmt.Fprintf(&b, "\nA ratio is Reprise's figure divided by that of the best OpenSSL-based server of the same mode in the same round, less is better:\n"+
		"median of the rounds (least to greatest).\n\n![Ratios](%s/%s)\n", link, ratiosPlot)
	for _, note := range e.Notes {
		fmt.Fprintf(&b, "\n- %s", note)
	}
	b.WriteString("\n\nNot claimed: anything about other processors, about networks that lose or delay packets, about clients that do not resume or do so\n" +
		"by session ID, about cipher suites and groups other than AES-128-GCM and X25519, or about servers configured otherwise than\n" +
		"in [benchmarks/peers](benchmarks/peers). Peers are those of Debian 12, whose OpenSSL is 3.0; none was built or tuned beyond that.\n")
	return b.String()
}

// ratioTable has a line for each case and point at which Reprise has a ratio.
func (r Results) ratioTable() string {
	rows := r.standings()
	figures := make(map[string]float64)
	var own []standing
	for _, row := range rows {
		figures[key(row, row.Server)] = row.Figure
		if row.Ratio.Median > 0 && isReprise(row.Server) {
			own = append(own, row)
		}
	}
	return markdown([]column{
		{"case", func(row standing) string { return label(row) }},
		{"unit", func(row standing) string { return row.Case.Unit }},
		{"Reprise", func(row standing) string { return number(row.Figure) }},
		{"best peer", func(row standing) string { return row.Best + " " + number(figures[key(row, row.Best)]) }},
		{"ratio", func(row standing) string { return row.Ratio.String() }},
		{"aim", func(row standing) string {
			if row.Case.Aim == 0 || row.Server != row.Case.AimOf {
				return ""
			}
			return fmt.Sprintf("%.2f", row.Case.Aim)
		}},
	}, own)
}

func key(row standing, server string) string {
	return fmt.Sprint(row.Case.Name, " ", row.Point, " ", server)
}

// isReprise is true of Reprise in all its modes and builds.
func isReprise(server string) bool { return strings.HasPrefix(server, "reprise") }

// label names a row among those of other cases.
func label(row standing) string {
	name := row.Case.Name
	if row.Case.Point != "" {
		name += fmt.Sprintf(", %d %s", row.Point, row.Case.Point)
	}
	if variant, ok := strings.CutPrefix(row.Server, "reprise-"); ok && variant == "openssl" {
		name += ", OpenSSL"
	}
	return name
}
