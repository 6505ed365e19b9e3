package main

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// A summary is what is printed of a series.
type summary struct{ median, min, max float64 }

func summarize(values []float64) summary {
	if len(values) == 0 {
		return summary{math.NaN(), math.NaN(), math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	median := sorted[mid]
	if len(sorted)%2 == 0 {
		median = (sorted[mid-1] + sorted[mid]) / 2
	}
	return summary{median, sorted[0], sorted[len(sorted)-1]}
}

func median(values []float64) float64 { return summarize(values).median }

// spread is how far the samples are apart, as a share of their median.
func (s summary) spread() float64 {
	if s.max == s.min {
		return 0 // also of zeros
	}
	return (s.max - s.min) / s.median
}

// number shows four significant digits, and whole numbers above that.
func number(v float64) string {
	switch abs := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case abs >= 1000 || v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case abs >= 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case abs >= 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
}

func numbers(values []float64) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = number(v)
	}
	return strings.Join(texts, " ")
}
