package engine

import (
	"errors"
	"fmt"
	"testing"
)

func TestCompressionNames(t *testing.T) {
	for _, c := range []Compression{CompressionZstd, CompressionLZ4, CompressionNone} {
		if got, err := ParseCompression(c.String()); err != nil || got != c {
			t.Errorf("%v: %v, %v", c, got, err)
		}
	}
	if _, err := ParseCompression("gzip"); !errors.Is(err, ErrArgument) {
		t.Errorf("gzip: %v", err)
	}
	if got := fmt.Sprint(Compression(9)); got != "compression 9" {
		t.Errorf("an unknown one is %q", got)
	}
}

func TestValueCompressionNames(t *testing.T) {
	for _, c := range []ValueCompression{ValueCompressionNone, ValueCompressionLZ4, ValueCompressionZstd} {
		if got, err := ParseValueCompression(c.String()); err != nil || got != c {
			t.Errorf("%v: %v, %v", c, got, err)
		}
	}
	if _, err := ParseValueCompression("gzip"); !errors.Is(err, ErrArgument) {
		t.Errorf("gzip: %v", err)
	}
	if got := fmt.Sprint(ValueCompression(9)); got != "value compression 9" {
		t.Errorf("an unknown one is %q", got)
	}
}
