package report

import (
	"fmt"
	"image/color"
	"math"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const ratiosPlot = "ratios.svg"

// plots writes all plots that r has samples for.
func (r Results) plots(dir string) error {
	rows := r.standings()
	if err := plotRatios(rows, filepath.Join(dir, ratiosPlot)); err != nil {
		return err
	}
	for _, c := range r.Environment.Cases {
		of := slices.DeleteFunc(slices.Clone(rows),
			func(row standing) bool { return row.Case.Name != c.Name || row.Rounds == 0 })
		if c.Point != "" {
			if err := plotPoints(c, of, filepath.Join(dir, c.Name+".svg")); err != nil {
				return err
			}
			continue
		}
		if err := plotLatency(c, of, filepath.Join(dir, c.Name+"-latency.svg")); err != nil {
			return err
		}
	}
	return nil
}

// plotRatios draws a bar for each ratio of Reprise, its spread as a line, its aim as a mark, and a
// line for the best peer.
func plotRatios(rows []standing, file string) error {
	own := slices.DeleteFunc(slices.Clone(rows),
		func(row standing) bool { return !isReprise(row.Server) || row.Ratio.Median == 0 })
	if len(own) == 0 {
		return nil
	}
	slices.Reverse(own) // the first case on top
	p := plot.New()
	p.Title.Text = "Reprise beside the best OpenSSL-based server (= 1); less is better"
	p.X.Min = 0
	var (
		values plotter.Values
		spread spreads
		aims   plotter.XYs
		names  []string
	)
	for i, row := range own {
		values = append(values, row.Ratio.Median)
		spread.XYs = append(spread.XYs, plotter.XY{X: row.Ratio.Median, Y: float64(i)})
		spread.XErrors = append(spread.XErrors,
			struct{ Low, High float64 }{
				row.Ratio.Median - row.Ratio.Min,
				row.Ratio.Max - row.Ratio.Median,
			})
		names = append(names, label(row))
		if row.Case.Aim > 0 && row.Server == row.Case.AimOf {
			aims = append(aims, plotter.XY{X: row.Case.Aim, Y: float64(i)})
		}
	}
	bars, err := plotter.NewBarChart(values, vg.Points(10))
	if err != nil {
		return err
	}
	bars.Horizontal = true
	bars.Color, bars.LineStyle.Width = color.RGBA{140, 180, 220, 255}, 0
	lines, err := plotter.NewXErrorBars(spread)
	if err != nil {
		return err
	}
	one, err := plotter.NewLine(plotter.XYs{{X: 1, Y: -0.5}, {X: 1, Y: float64(len(own)) - 0.5}})
	if err != nil {
		return err
	}
	one.Color = color.Gray{96}
	p.Add(bars, lines, one)
	p.Legend.Add("best peer", one)
	if len(aims) > 0 {
		marks, err := plotter.NewScatter(aims)
		if err != nil {
			return err
		}
		marks.Shape, marks.Radius, marks.Color = draw.PyramidGlyph{}, vg.Points(4), color.Gray{}
		p.Add(marks)
		p.Legend.Add("aim", marks)
	}
	p.NominalY(names...)
	return p.Save(9*vg.Inch, vg.Length(len(own))*vg.Points(20)+vg.Inch, file)
}

// spreads are points with the distances of their rounds to each side.
type spreads struct {
	plotter.XYs
	plotter.XErrors
}

// plotPoints draws a line for each server along a case's points, both axes logarithmic.
func plotPoints(c Case, rows []standing, file string) error {
	lines := make(map[string]plotter.XYs)
	for _, row := range rows {
		if row.Point > 0 && row.Figure > 0 {
			lines[row.Server] = append(lines[row.Server],
				plotter.XY{X: float64(row.Point), Y: row.Figure})
		}
	}
	p := plot.New()
	p.Title.Text = c.Name
	p.X.Label.Text, p.Y.Label.Text = c.Point, c.Unit
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, measured(rows)
	return drawLines(p, lines, file)
}

// plotLatency draws a line for each server through its percentiles.
func plotLatency(c Case, rows []standing, file string) error {
	lines := make(map[string]plotter.XYs)
	for _, row := range rows {
		l := row.Latency
		if l.Max == 0 {
			continue
		}
		for i, v := range []float64{l.P50, l.P90, l.P99, l.P999} {
			lines[row.Server] = append(lines[row.Server], plotter.XY{X: float64(i), Y: max(v, 1)})
		}
	}
	p := plot.New()
	p.Title.Text = c.Name
	p.Y.Label.Text = "latency, µs"
	p.NominalX("p50", "p90", "p99", "p99.9")
	return drawLines(p, lines, file)
}

// drawLines gives each server its colour and mark; without a line it makes no file.
func drawLines(p *plot.Plot, lines map[string]plotter.XYs, file string) error {
	if len(lines) == 0 {
		return nil
	}
	servers := make([]string, 0, len(lines))
	for server := range lines {
		servers = append(servers, server)
	}
	slices.Sort(servers)
	low, high := lines[servers[0]][0].Y, 0.0
	for i, server := range servers {
		line, marks, err := plotter.NewLinePoints(lines[server])
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
		line.Color, marks.Color, marks.Shape = plotutil.Color(i), plotutil.Color(i),
			plotutil.Shape(i)
		if isReprise(server) {
			line.Width = vg.Points(2.5)
		}
		p.Add(line, marks)
		p.Legend.Add(server, line, marks)
		for _, point := range lines[server] {
			low, high = min(low, point.Y), max(high, point.Y)
		}
	}
	// A logarithmic axis of a single value has no length. The legend is above the lines.
	p.Y.Min, p.Y.Max = low/1.5, high*1.5*math.Pow(high/low, 0.4)
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.TickerFunc(decades)
	p.Legend.Top = true
	return p.Save(7*vg.Inch, 5*vg.Inch, file)
}

// measured marks the points of rows on the axis, and no others.
func measured(rows []standing) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for _, row := range rows {
		if !slices.ContainsFunc(ticks,
			func(t plot.Tick) bool { return t.Value == float64(row.Point) }) {
			ticks = append(ticks, plot.Tick{
				Value: float64(row.Point),
				Label: fmt.Sprint(row.Point),
			})
		}
	}
	return ticks
}

// decades marks 1 to 9 in each decade of a logarithmic axis and labels 1, 2 and 5.
func decades(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for decade := math.Pow(10, math.Floor(math.Log10(low))); decade <= high; decade *= 10 {
		for digit := 1.0; digit < 10; digit++ {
			tick := plot.Tick{Value: digit * decade}
			if digit == 1 || digit == 2 || digit == 5 {
				tick.Label = fmt.Sprintf("%g", tick.Value)
			}
			if tick.Value >= low && tick.Value <= high {
				ticks = append(ticks, tick)
			}
		}
	}
	return ticks
}
