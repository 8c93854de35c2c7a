package report

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sections are the parts of documents made from results, each between two lines with its name.
func (r Results) sections(link string) map[string]string {
	return map[string]string{
		"performance": r.performance(link), "capacity": r.capacity(link),
		"fleets": r.fleets(link), "sizes": r.sizes(link),
	}
}

// Update replaces the sections of the document file by those made from r, whose directory is dir.
func (r Results) Update(file, dir string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	base, err := filepath.Abs(filepath.Dir(file))
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
	found := false
	for name, section := range r.sections(filepath.ToSlash(link)) {
		begin, end := "<!-- "+name+": begin -->", "<!-- "+name+": end -->"
		before, rest, opened := strings.Cut(string(text), begin)
		_, after, closed := strings.Cut(rest, end)
		if opened && closed {
			text, found = []byte(before+begin+"\n"+section+end+after), true
		}
	}
	if !found {
		return fmt.Errorf(
			"%s: no lines such as <!-- performance: begin --> and <!-- performance: end --> to write between", file)
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, info.Mode().Perm())
}

// made states where and when r was made.
func (r Results) made(link string) string {
	e := r.Environment
	return paragraph(fmt.Sprintf(
		"Measured on %s at commit %s, on %d cores of %s, Linux %s: [all figures](%s/%s).",
		e.Date, e.Commit, e.CPULen, e.CPU, e.Kernel, link, tableFile)) + "\n"
}

// performance has the headlines' ratios, and what is not claimed. The files of r are linked under
// the path link.
func (r Results) performance(link string) string {
	return r.made(link) + r.ratioTable() + r.growing() +
		"\n" + paragraph("Ratios are to the best of hitch, HAProxy, nginx, h2o, stunnel and uWSGI that serves the case, in the same round; less is better: median (least to greatest). Not claimed: anything about other processors, real networks, or peers built and tuned beyond Debian's packages.")
}

// spare is the share of a core that capacity leaves unused.
const spare = 0.3

// capacity has the number of new clients that a core of Reprise serves, by kind of handshake.
func (r Results) capacity(link string) string {
	rows := slices.DeleteFunc(r.standings(), func(row standing) bool {
		return row.Rounds == 0 || !isReprise(row.Server) || row.Case.Unit != perConnection ||
			row.Case.Point != ""
	})
	return r.made(link) + markdown([]column{
		{"connections of", func(row standing) string { return label(row) }},
		{"mode", func(row standing) string {
			if strings.HasSuffix(row.Server, "-http") {
				return "HTTP"
			}
			return "TCP"
		}},
		{"CPU µs each", func(row standing) string { return number(row.Figure) }},
		{
			"new clients a second and core",
			func(row standing) string { return number((1 - spare) * 1e6 / row.Figure) },
		},
	}, rows)
}

// perConnection is the unit of cases whose operation is a connection.
const perConnection = "CPU µs per connection"

// ratioTable has a line for each point of a headline at which Reprise has a ratio.
func (r Results) ratioTable() string {
	rows := r.standings()
	figures := make(map[string]float64)
	var own []standing
	for _, row := range rows {
		figures[key(row, row.Server)] = row.Figure
		if row.Ratio.Median > 0 && row.Case.Headline &&
			(row.Case.AimOf == "" || row.Case.AimOf == row.Server) {
			own = append(own, row)
		}
	}
	return markdown([]column{
		{"case", func(row standing) string { return label(row) }},
		{"unit", func(row standing) string { return row.Case.Unit }},
		{"Reprise", func(row standing) string { return number(row.Figure) }},
		{"best peer", func(row standing) string {
			return row.Best + " " +
				number(figures[key(row, row.Best)])
		}},
		{"ratio", func(row standing) string { return row.Ratio.String() }},
		{"aim", func(row standing) string {
			if row.Case.Aim == 0 || row.Server != row.Case.AimOf {
				return ""
			}
			return fmt.Sprintf("%.2f", row.Case.Aim)
		}},
		{"missed by", func(row standing) string {
			if row.Case.Aim == 0 || row.Server != row.Case.AimOf {
				return ""
			}
			return aim{row: row, want: row.Case.Aim, got: row.Ratio}.by()
		}},
	}, own)
}

func key(row standing, server string) string {
	return fmt.Sprint(row.Case.Name, " ", row.Point, " ", server)
}

// isReprise reports whether server is Reprise, in any mode or build.
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
