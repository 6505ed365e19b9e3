package main

import (
	"errors"
	"strings"
	"testing"
)

func TestVerdict(t *testing.T) {
	fast, slow := 0.5, 7.0
	tests := []struct {
		name   string
		limit  limit
		result result
		err    error
		want   string
	}{
		{"below both limits", atMost(1.1, 0.9), result{value: 0.9}, nil, "PASS REACHED"},
		{"below the first limit only", atMost(1.1, 0.9), result{value: 1.1}, nil, "PASS"},
		{"above both", atMost(1.1, 0.9), result{value: 1.11}, nil, "MISS"},
		{"at least, reached", atLeast(3, 5), result{value: 5}, nil, "PASS REACHED"},
		{"at least, passed", atLeast(3, 5), result{value: 3}, nil, "PASS"},
		{"at least, missed", atLeast(3, 5), result{value: 2.9}, nil, "MISS"},
		{"another quantity reaches", atMost(5, 5), result{value: 1, reachValue: &fast}, nil, "PASS REACHED"},
		{"another quantity doesn't", atMost(5, 5), result{value: 1, reachValue: &slow}, nil, "PASS"},
		{"a broken condition", atMost(1.1, 0.9), result{value: 0.1, broken: "why"}, nil, "MISS"},
		{"Redis not steady", atMost(1.1, 0.9), result{value: 0.1, discarded: "why"}, nil, "DISCARDED"},
		{"not measured", atMost(1.1, 0.9), result{}, errors.New("why"), "FAILED"},
		{"information", forInformation, result{value: 9}, nil, "INFO"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := outcome{row: row{id: "x", limit: tt.limit}, result: tt.result, err: tt.err}
			if got := o.verdictText(); got != tt.want {
				t.Errorf("verdict = %q, want %q", got, tt.want)
			}
		})
	}
}

func sampleOutcomes() []outcome {
	return []outcome{
		{row: row{id: "good", title: "a good row", limit: atMost(2, 1)},
			result: result{value: 0.5, series: []series{{"redis", "µs", []float64{3, 1, 2}}}, notes: []string{"a note"}}},
		{row: row{id: "bad", title: "a bad row", limit: atMost(2, 1)}, result: result{value: 4}},
		{row: row{id: "ugly", title: "no row", limit: atMost(2, 1)}, err: errors.New("it broke")},
		{row: row{id: "noisy", title: "a noisy row", limit: atMost(2, 1)}, result: result{value: 0.5, discarded: "noise"}},
	}
}

func TestTallyCountsEveryVerdict(t *testing.T) {
	line, failures := tally(sampleOutcomes())
	if want := "1 passed (1 of them reached), 1 missed, 1 discarded, 1 failed"; line != want {
		t.Errorf("tally = %q, want %q", line, want)
	}
	if failures != 1 {
		t.Errorf("%d failures, want 1", failures)
	}
}

func TestMarkdownShowsVerdictsAndSamples(t *testing.T) {
	var b strings.Builder
	if err := markdown(&b, "About this run.", sampleOutcomes()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"About this run.\n",
		"| `good` | a good row | ≤ 2 (1) | 0.500 | PASS REACHED |\n",
		"| `bad` | a bad row | ≤ 2 (1) | 4 | MISS |\n",
		"| `ugly` | no row | ≤ 2 (1) | – | FAILED |\n",
		"| `noisy` | a noisy row | ≤ 2 (1) | – | DISCARDED |\n",
		"| `good` | redis | 2 | 1 | 3 | µs | 3 1 2 |\n",
		"- `good`: a note\n",
		"- `ugly`: failed: it broke\n",
		"- `noisy`: discarded: noise\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the fragment lacks %q:\n%s", want, b.String())
		}
	}
}

func TestPrintShowsEverySample(t *testing.T) {
	var b strings.Builder
	sampleOutcomes()[0].print(&b)
	for _, want := range []string{"good", "PASS REACHED", "median 2 min 1 max 3 µs  [3 1 2]", "a note"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the row lacks %q:\n%s", want, b.String())
		}
	}
}
