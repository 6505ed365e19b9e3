package main

import (
	"fmt"
	"io"
	"strings"
)

// A verdict is a row's outcome in one word.
type verdict string

const (
	pass      verdict = "PASS"
	miss      verdict = "MISS"
	discarded verdict = "DISCARDED" // Redis itself was not steady
	failed    verdict = "FAILED"    // it could not be measured
	noVerdict verdict = "INFO"
)

// An outcome is a row with its result.
type outcome struct {
	row    row
	result result
	err    error
}

func (o outcome) verdict() verdict {
	switch {
	case o.err != nil:
		return failed
	case o.result.discarded != "":
		return discarded
	case o.row.limit.none:
		return noVerdict
	case o.result.broken != "" || !o.row.limit.holds(o.result.value, o.row.limit.must):
		return miss
	default:
		return pass
	}
}

// reached says whether the row passes and also reaches what was hoped for.
func (o outcome) reached() bool {
	value := o.result.value
	if o.result.reachValue != nil {
		value = *o.result.reachValue
	}
	return o.verdict() == pass && o.row.limit.holds(value, o.row.limit.reach)
}

func (o outcome) verdictText() string {
	if o.reached() {
		return string(pass) + " REACHED"
	}
	return string(o.verdict())
}

// valueText is the measured number, or a dash where there is none to believe.
func (o outcome) valueText() string {
	if v := o.verdict(); v == failed || v == discarded {
		return "–"
	}
	return number(o.result.value)
}

// remarks are the lines that explain a verdict.
func (o outcome) remarks() []string {
	var out []string
	if o.err != nil {
		out = append(out, "failed: "+o.err.Error())
	}
	if o.result.discarded != "" {
		out = append(out, "discarded: "+o.result.discarded)
	}
	if o.result.broken != "" {
		out = append(out, "missed: "+o.result.broken)
	}
	if o.result.reachValue != nil {
		out = append(out, "compared with the second limit: "+number(*o.result.reachValue))
	}
	return append(out, o.result.notes...)
}

// print writes one row with all its samples.
func (o outcome) print(w io.Writer) {
	fmt.Fprintf(w, "%-14s %8s  %-16s %-13s %s\n", o.row.id, o.valueText(), o.row.limit.text(), o.verdictText(), o.row.title)
	for _, s := range o.result.series {
		sum := summarize(s.values)
		fmt.Fprintf(w, "    %-22s median %s min %s max %s %s  [%s]\n", s.name, number(sum.median), number(sum.min),
			number(sum.max), s.unit, joinNumbers(s.values))
	}
	for _, r := range o.remarks() {
		fmt.Fprintf(w, "    %s\n", r)
	}
}

func joinNumbers(values []float64) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = number(v)
	}
	return strings.Join(texts, " ")
}

// tally counts the outcomes for the last line and the exit status.
func tally(outcomes []outcome) (line string, failures int) {
	count := map[verdict]int{}
	reached := 0
	for _, o := range outcomes {
		count[o.verdict()]++
		if o.reached() {
			reached++
		}
	}
	return fmt.Sprintf("%d passed (%d of them reached), %d missed, %d discarded, %d failed",
		count[pass], reached, count[miss], count[discarded], count[failed]), count[failed]
}

// markdown writes the fragment for docs/BENCHMARKS.md: a table of verdicts, then all samples.
func markdown(w io.Writer, about string, outcomes []outcome) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n| row | measure | must (reach) | measured | verdict |\n|---|---|---|---|---|\n", about)
	for _, o := range outcomes {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", o.row.id, o.row.title, o.row.limit.text(), o.valueText(), o.verdictText())
	}
	line, _ := tally(outcomes)
	fmt.Fprintf(&b, "\n%s.\n\nAll samples:\n\n| row | series | median | min | max | unit | samples |\n|---|---|---|---|---|---|---|\n", line)
	for _, o := range outcomes {
		for _, s := range o.result.series {
			sum := summarize(s.values)
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n", o.row.id, s.name, number(sum.median), number(sum.min),
				number(sum.max), s.unit, joinNumbers(s.values))
		}
	}
	b.WriteByte('\n')
	for _, o := range outcomes {
		for _, r := range o.remarks() {
			fmt.Fprintf(&b, "- `%s`: %s\n", o.row.id, r)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
