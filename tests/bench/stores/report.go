package main

import (
	"bytes"
	"fmt"
	"io"
)

// A verdict is a row's outcome in one word.
type verdict string

const (
	pass      verdict = "PASS"
	miss      verdict = "MISS"
	discarded verdict = "DISCARDED" // what we are compared with was not steady, and that decides
	noPeer    verdict = "NO PEER"   // there was nothing to compare with
	failed    verdict = "FAILED"    // it could not be measured
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
	case o.result.noPeer:
		return noPeer
	case !o.result.steady() && !o.beyondDoubt(o.row.limit.must):
		return discarded
	case o.row.limit.holds(o.result.value, o.row.limit.must):
		return pass
	default:
		return miss
	}
}

// beyondDoubt says whether even the worst pair of samples holds a bound: then it does not matter how far they are apart.
func (o outcome) beyondDoubt(bound float64) bool {
	return o.result.worst != 0 && o.row.limit.holds(o.result.worst, bound)
}

// reached says whether the row passes and also reaches what was hoped for.
func (o outcome) reached() bool {
	return o.verdict() == pass && o.row.limit.holds(o.result.value, o.row.limit.reach) &&
		(o.result.steady() || o.beyondDoubt(o.row.limit.reach))
}

func (o outcome) verdictText() string {
	if o.reached() {
		return string(pass) + " REACHED"
	}
	return string(o.verdict())
}

// valueText is the measured number, or a dash where there is none to believe.
func (o outcome) valueText() string {
	if v := o.verdict(); v != pass && v != miss {
		return "–"
	}
	return number(o.result.value)
}

// series are all that was measured.
func (o outcome) series() []*series {
	if o.result.samples == nil {
		return nil
	}
	return o.result.samples.all
}

// remarks are the lines that explain a verdict.
func (o outcome) remarks() []string {
	var out []string
	if o.err != nil {
		out = append(out, "failed: "+o.err.Error())
	}
	if o.verdict() == pass && !o.result.steady() {
		out = append(out, fmt.Sprintf("the samples of %s spread by %.0f %%, but our worst one beside its best one still makes %s", o.result.base.name,
			100*summarize(o.result.base.values).spread(), number(o.result.worst)))
	}
	if o.verdict() == discarded {
		out = append(out, fmt.Sprintf("discarded: the samples of %s spread by %.0f %%; their ratio would be %s", o.result.base.name,
			100*summarize(o.result.base.values).spread(), number(o.result.value)))
	}
	return append(out, o.result.notes...)
}

// print writes one row with all its samples.
func (o outcome) print(w io.Writer) {
	fmt.Fprintf(w, "%-16s %8s  %-14s %-13s %s\n", o.row.id, o.valueText(), o.row.limit.text(), o.verdictText(), o.row.title)
	for _, s := range o.series() {
		sum := summarize(s.values)
		fmt.Fprintf(w, "    %-22s median %s spread %.0f %% %s  [%s]\n", s.name, number(sum.median), 100*sum.spread(), s.unit,
			numbers(s.values))
	}
	for _, r := range o.remarks() {
		fmt.Fprintf(w, "    %s\n", r)
	}
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
	return fmt.Sprintf("%d passed (%d of them reached), %d missed, %d discarded, %d without a peer, %d failed",
		count[pass], reached, count[miss], count[discarded], count[noPeer], count[failed]), count[failed]
}

// markdown writes the fragment for docs/BENCHMARKS.md: a table of verdicts, then all samples.
func markdown(b *bytes.Buffer, about string, outcomes []outcome) {
	fmt.Fprintf(b, "%s\n\n| row | measure | must (reach) | measured | verdict |\n|---|---|---|---|---|\n", about)
	for _, o := range outcomes {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", o.row.id, o.row.title, o.row.limit.text(), o.valueText(), o.verdictText())
	}
	line, _ := tally(outcomes)
	fmt.Fprintf(b, "\n%s.\n\nAll samples:\n\n| row | series | median | spread | unit | samples |\n|---|---|---|---|---|---|\n", line)
	for _, o := range outcomes {
		for _, s := range o.series() {
			sum := summarize(s.values)
			fmt.Fprintf(b, "| `%s` | %s | %s | %.0f %% | %s | %s |\n", o.row.id, s.name, number(sum.median), 100*sum.spread(),
				s.unit, numbers(s.values))
		}
	}
	b.WriteByte('\n')
	for _, o := range outcomes {
		for _, r := range o.remarks() {
			fmt.Fprintf(b, "- `%s`: %s\n", o.row.id, r)
		}
	}
	b.WriteString("\nOptions of the stores:\n\n")
	for _, c := range contenders() {
		fmt.Fprintf(b, "- %s: %s\n", c.name, c.options)
	}
}
