package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// measured is an outcome of a row with a limit of ≥ 2 (3), beside a base with these samples.
func measured(value float64, base ...float64) outcome {
	return outcome{row: row{id: "x", limit: atLeast(2, 3)},
		result: result{value: value, samples: &samples{}, base: &series{"peer", perSecond, base}}}
}

func TestVerdicts(t *testing.T) {
	broken, lonely := measured(4, 1), measured(4, 1)
	sure, hoped := measured(3, 100, 120), measured(4, 100, 120)
	sure.result.worst, hoped.result.worst = 2.1, 3.1
	broken.err, lonely.result.noPeer = errors.New("no disk"), true
	for _, c := range []struct {
		name  string
		given outcome
		want  string
	}{
		{"enough", measured(2.5, 100, 105, 95), "PASS"},
		{"as hoped for", measured(3, 100), "PASS REACHED"},
		{"too little", measured(1.9, 100), "MISS"},
		{"an unsteady base", measured(3, 100, 111), "DISCARDED"},
		{"an unsteady base, beyond doubt", sure, "PASS"},
		{"an unsteady base, reached beyond doubt", hoped, "PASS REACHED"},
		{"a failure", broken, "FAILED"},
		{"nobody to compare with", lonely, "NO PEER"},
	} {
		if got := c.given.verdictText(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestReportHasEverySampleAndRemark(t *testing.T) {
	o := measured(1.5, 10, 12)
	o.result.samples.add("peer", perSecond, 10)
	o.result.samples.add("peer", perSecond, 12)
	o.result.notes = []string{"a note"}
	var text, table bytes.Buffer
	o.print(&text)
	markdown(&table, "about it", []outcome{o})
	for name, got := range map[string]string{"text": text.String(), "Markdown": table.String()} {
		for _, want := range []string{"DISCARDED", "10 12", "a note", "would be 1.500"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s lacks %q:\n%s", name, want, got)
			}
		}
	}
	if !strings.Contains(table.String(), badgerOptions) {
		t.Error("the Markdown lacks the options of a peer")
	}
}

func TestBestPeerIsNeverOurs(t *testing.T) {
	s := &samples{}
	s.addAll(nitroName, metrics{perSecond: 9})
	if _, err := s.best(perSecond); err == nil {
		t.Error("a best peer where there is none")
	}
	s.addAll("slow", metrics{perSecond: 1})
	s.addAll("fast", metrics{perSecond: 2})
	res, err := versus(s, perSecond)
	if err != nil || res.base.name != "fast" || res.value != 4.5 {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestFlagsAreChecked(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"-value", "7"}, {"-duration", "0s"}, {"-keys", "-1"}, {"-nonsense"}, {"rows"},
		{"-file-bytes", "1"}} {
		_, err := parseConfig(args, &bytes.Buffer{})
		if _, ok := errors.AsType[refusal](err); !ok {
			t.Errorf("%v: %v, want a refusal", args, err)
		}
	}
	if _, err := parseConfig([]string{"-quick", "-rows", "set"}, &bytes.Buffer{}); err != nil {
		t.Error(err)
	}
}

func TestRowsAreChosenByPrefix(t *testing.T) {
	got, err := chosen("set,get-cold")
	if err != nil || len(got) != 3 {
		t.Errorf("%d rows, %v, want 3", len(got), err)
	}
	if _, err := chosen("nothing"); err == nil {
		t.Error("a prefix of no row is accepted")
	}
}
