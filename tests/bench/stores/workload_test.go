package main

import (
	"bytes"
	"slices"
	"testing"
)

func TestKeysAreOfOneLengthAndInOrder(t *testing.T) {
	w := newWorkload(64)
	for number, want := range map[int]string{0: "key:000000000000", 42: "key:000000000042", 9_999_999: "key:000009999999"} {
		if got := string(w.key(nil, number)); got != want || len(got) != keyBytes {
			t.Errorf("key(%d) = %q, want %q", number, got, want)
		}
	}
}

func TestTwoProcessesMakeTheSameWorkload(t *testing.T) {
	a, b := newWorkload(100), newWorkload(100)
	a.shuffle(1000)
	b.shuffle(1000)
	for at := range 1000 {
		if a.at(at) != b.at(at) || !bytes.Equal(a.value(nil, at), b.value(nil, at)) {
			t.Fatalf("position %d differs", at)
		}
	}
}

func TestShuffledOrderHasEveryKeyOnce(t *testing.T) {
	w := newWorkload(64)
	w.shuffle(1000)
	if slices.IsSorted(w.order) {
		t.Error("the order is ascending")
	}
	for want, got := range slices.Sorted(slices.Values(w.order)) {
		if int(got) != want {
			t.Fatalf("key %d is missing or there twice", want)
		}
	}
}

func TestCheckFindsEveryDamage(t *testing.T) {
	w := newWorkload(200)
	whole := w.value(nil, 7)
	if err := w.check(7, whole); err != nil {
		t.Errorf("the value that was written: %v", err)
	}
	if w.check(8, whole) == nil {
		t.Error("the value of another key is not noticed")
	}
	if w.check(7, whole[:199]) == nil {
		t.Error("a value cut short is not noticed")
	}
	for at := range whole {
		damaged := slices.Clone(whole)
		damaged[at] ^= 1
		if w.check(7, damaged) == nil {
			t.Errorf("a flipped bit in byte %d is not noticed", at)
		}
	}
}
