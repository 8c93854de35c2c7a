package report

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// own are Reprise's rows of some cases.
func (r Results) own(cases ...string) []standing {
	return slices.DeleteFunc(r.standings(), func(row standing) bool {
		return row.Rounds == 0 || !isReprise(row.Server) || !slices.Contains(cases, row.Case.Name)
	})
}

// lineLen is how long a line of a document may be.
const lineLen = 120

// paragraph is text in lines.
func paragraph(text string) string {
	var b strings.Builder
	length := 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case length == 0:
		case length+1+n > lineLen:
			b.WriteByte('\n')
			length = 0
		default:
			b.WriteByte(' ')
			length++
		}
		b.WriteString(word)
		length += n
	}
	b.WriteByte('\n')
	return b.String()
}

// Columns of sections.
func named(head string) column {
	return column{head, func(row standing) string { return row.Case.Name }}
}

func point(head string) column {
	return column{head, func(row standing) string { return fmt.Sprint(row.Point) }}
}

func figure(head string) column {
	return column{head, func(row standing) string { return number(row.Figure) }}
}

func growth(head string) column {
	return column{head, func(row standing) string { return number(row.Growth) }}
}

func more(name string) column {
	return column{name, func(row standing) string { return number(row.More[name]) }}
}

// growing says what resumption at any of several nodes costs beside that at one.
func (r Results) growing() string {
	var said []string
	for _, row := range r.own("fleet") {
		if row.Growth > 0 {
			text := fmt.Sprintf("%s times at %d nodes", number(row.Growth), row.Point)
			if want := row.Case.AimGrowth[row.Point]; want > 0 {
				text += fmt.Sprintf(" (aim %.2f)", want)
			}
			said = append(said, text)
		}
	}
	if len(said) == 0 {
		return ""
	}
	return "\n" + paragraph("A resumption at any node of a fleet on one core takes the CPU time of one at a single node "+
		strings.Join(said, ", ")+".")
}

// fleets says what sharing sessions costs.
func (r Results) fleets(link string) string {
	return r.made(link) +
		paragraph("Several nodes on one core, saturated with resumptions at any of them; CPU of all nodes together. `fleet` is `cache-replication = auto`:") + "\n" +
		markdown([]column{
			named("case"), point("nodes"), figure("CPU µs for each"), growth("to one node"),
			{"aim", func(row standing) string { return number(row.Case.AimGrowth[row.Point]) }},
			{"resumed", func(row standing) string { return share(row.Resumed) }},
		}, r.own("fleet", "fleet-push", "fleet-homes")) +
		"\n" + paragraph("The same with each node in a network namespace of its own. Lag is from a client's Finished at one node until all others have the session; calm are 200 resumptions a second, each at another node than the last, some of which have to ask:") + "\n" +
		markdown([]column{
			named("case"), point("nodes"), figure("CPU µs for each"), growth("to one node"),
			more("lag p50 µs"), more("lag p99 µs"), more("calm p50 µs"), more("calm p99 µs"),
			more("asked %"), more("ask p50 µs"), more("ask p99 µs"),
		}, r.own("apart-push", "apart-homes")) +
		"\nA ninth node is started:\n\n" +
		markdown([]column{
			named("case"), point("sessions"), more("ms until it serves"), more("ms until it resumes one"),
			{"ms until it has all", func(row standing) string {
				if row.Case.Name != "join-push" {
					return ""
				}
				return number(row.Figure)
			}},
		}, r.own("join-push", "join-homes"))
}

// sizes says what many sessions and connections take.
func (r Results) sizes(link string) string {
	return r.made(link) +
		"Memory of a session:\n\n" +
		markdown([]column{named("case"), figure("bytes"), more("millions in a GB")},
			r.own("session13", "session13-client", "session12", "session12-client")) +
		"\nA resumption as sessions grow:\n\n" +
		markdown([]column{
			point("sessions"), figure("CPU µs"), growth("to the first row"), more("resident bytes per session"),
		}, r.own("resumed13-among")) +
		"\nRequests on many connections in HTTP mode, 10,000 a second, and memory of idle connections in TCP mode:\n\n" +
		markdown([]column{
			named("case"), point("connections"),
			{"CPU µs for a request", func(row standing) string {
				if row.Case.Name == "idle" {
					return ""
				}
				return number(row.Figure)
			}},
			{"KB per connection", func(row standing) string {
				if row.Case.Name == "idle" {
					return number(row.Figure)
				}
				return number(row.More["KB per connection"])
			}},
			{"ratio to the best peer", func(row standing) string { return row.Ratio.String() }},
		}, r.own("connections", "idle"))
}
