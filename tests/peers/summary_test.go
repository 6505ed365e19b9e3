package main

import (
	"math"
	"testing"
)

func TestSummarize(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		want   summary
	}{
		{"one", []float64{3}, summary{3, 3, 3}},
		{"odd", []float64{5, 1, 3}, summary{3, 1, 5}},
		{"even", []float64{4, 1, 3, 2}, summary{2.5, 1, 4}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := summarize(tt.values); got != tt.want {
				t.Errorf("summarize(%v) = %v, want %v", tt.values, got, tt.want)
			}
		})
	}
	if got := summarize(nil); !math.IsNaN(got.median) {
		t.Errorf("the median of nothing is %v, want NaN", got.median)
	}
}

func TestSpread(t *testing.T) {
	if got := summarize([]float64{90, 100, 115}).spread(); got != 0.25 {
		t.Errorf("spread = %v, want 0.25", got)
	}
}

func TestNumber(t *testing.T) {
	tests := map[float64]string{0: "0", 3: "3", 0.1234: "0.123", 12.345: "12.35", 123.45: "123.5", 12345.6: "12346", -0.02: "-0.020"}
	for value, want := range tests {
		if got := number(value); got != want {
			t.Errorf("number(%v) = %q, want %q", value, got, want)
		}
	}
	if got := number(math.NaN()); got != "–" {
		t.Errorf("number(NaN) = %q", got)
	}
}
