package main

import (
	"errors"
	"io"
	"slices"
	"testing"
)

func TestParseConfigRefuses(t *testing.T) {
	tests := map[string][]string{
		"an unknown flag": {"-nonsense"},
		"an argument":     {"cpu"},
		"no rounds":       {"-rounds", "0"},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parseConfig(args, io.Discard)
			if _, ok := errors.AsType[refusal](err); !ok {
				t.Errorf("parseConfig(%q) = %v, want a refusal", args, err)
			}
		})
	}
}

func TestQuickShrinks(t *testing.T) {
	full, err := parseConfig(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	quick, err := parseConfig([]string{"-quick"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if quick.keys >= full.keys || quick.rounds >= full.rounds || quick.duration >= full.duration {
		t.Errorf("a quick run measures %d keys in %d rounds of %v", quick.keys, quick.rounds, quick.duration)
	}
}

func TestRowIDsAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rows() {
		if seen[r.id] {
			t.Errorf("two rows are called %q", r.id)
		}
		seen[r.id] = true
		if r.measure == nil {
			t.Errorf("row %q cannot be measured", r.id)
		}
	}
}

func TestChosen(t *testing.T) {
	tests := []struct {
		only string
		want []string
	}{
		{"cpu", []string{"cpu-p1", "cpu-p16", "cpu-p64"}},
		{"idle,p99", []string{"p99", "idle"}},
	}
	for _, tt := range tests {
		got, err := chosen(tt.only)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, r := range got {
			ids = append(ids, r.id)
		}
		if !slices.Equal(ids, tt.want) {
			t.Errorf("-only %s chooses %v, want %v", tt.only, ids, tt.want)
		}
	}
	if _, err := chosen("nothing"); err == nil {
		t.Error("-only nothing was accepted")
	}
}
