package report

import (
	"fmt"
	"strings"
)

// aim is what a server is to reach at a point of a case, and what it reached.
type aim struct {
	row  standing
	to   string  // what the ratio is to
	want float64 // at most
	got  ratio   // nothing if it was not measured
}

// aims lists the aims of c that rows tell of.
func aims(c Case, rows []standing) (all []aim) {
	for _, row := range rows {
		if row.Case.Name != c.Name || row.Server != c.AimOf {
			continue
		}
		if c.Aim > 0 {
			all = append(all, aim{row, "the best peer", c.Aim, row.Ratio})
		}
		if want := c.AimGrowth[row.Point]; want > 0 {
			growth := ratio{row.Growth, row.Growth, row.Growth}
			all = append(all, aim{row, "its first row", want, growth})
		}
	}
	return all
}

func (a aim) missed() bool { return a.got.Median > a.want }

// by says how far a missed aim is away.
func (a aim) by() string {
	if !a.missed() {
		return ""
	}
	text := fmt.Sprintf("%.2f", a.got.Median-a.want)
	if a.got.Min <= a.want {
		text += ", less than rounds differ"
	}
	return text
}

func (a aim) String() string {
	text := fmt.Sprintf("Aim%s: ratio of %s to %s at most %.2f; ", a.at(), a.row.Server, a.to, a.want)
	switch {
	case a.got.Median == 0:
		return text + "not measured."
	case a.missed():
		return text + "missed by " + a.by() + "."
	}
	return text + "reached."
}

func (a aim) at() string {
	if a.row.Case.Point == "" {
		return ""
	}
	return fmt.Sprintf(" at %d %s", a.row.Point, a.row.Case.Point)
}

// missed lists all aims that were missed, and says why.
func (r Results) missed(rows []standing) string {
	var table strings.Builder
	for _, c := range r.Environment.Cases {
		for _, a := range aims(c, rows) {
			if a.missed() {
				fmt.Fprintf(&table, "| %s%s | %s | %s | %.2f | %s |\n",
					c.Name, a.at(), a.row.Server, a.got, a.want, a.by())
			}
		}
	}
	if table.Len() == 0 {
		return ""
	}
	return "\n## Where an aim is missed\n\n| case | server | ratio | aim | missed by |\n|---|---|---|---|---|\n" +
		table.String() + "\n" + strings.TrimSpace(r.Why) + "\n"
}
