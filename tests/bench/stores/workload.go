package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

const (
	keyBytes   = 16 // of "key:%012d"
	keyPrefix  = "key:"
	stampBytes = 8 // a value begins with the number of its key
	poolBytes  = 1 << 20
	keysMax    = 1 << 30
)

// A workload makes keys and values out of numbers: the same ones in every process.
type workload struct {
	valueBytes int
	pool       []byte   // random bytes that values are cut out of
	order      []uint32 // in which keys are written; nil: ascending
}

// newWorkload has keys in ascending order.
func newWorkload(valueBytes int) *workload {
	w := &workload{valueBytes: valueBytes, pool: make([]byte, poolBytes+valueBytes)}
	_, _ = rand.NewChaCha8([32]byte{'n', 'k'}).Read(w.pool) // it never fails
	return w
}

// shuffle gives the numbers below keys an order that looks random, and is the same in every process.
func (w *workload) shuffle(keys int) {
	w.order = make([]uint32, keys)
	for i := range w.order {
		w.order[i] = uint32(i)
	}
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(keys, func(i, j int) { w.order[i], w.order[j] = w.order[j], w.order[i] })
}

// at is the number of the key that is written at a position.
func (w *workload) at(position int) int {
	if w.order == nil {
		return position
	}
	return int(w.order[position])
}

// key writes the key of a number to dst, which is reused.
func (w *workload) key(dst []byte, number int) []byte {
	dst = append(dst[:0], keyPrefix+"000000000000"...)
	for i := keyBytes - 1; i >= len(keyPrefix); i-- {
		dst[i] = byte('0' + number%10)
		number /= 10
	}
	return dst
}

// value writes the value of a number to dst, which is reused.
func (w *workload) value(dst []byte, number int) []byte {
	dst = append(dst[:0], w.body(number)...)
	binary.LittleEndian.PutUint64(dst, uint64(number))
	return dst
}

// body is the value without the stamp at its beginning.
func (w *workload) body(number int) []byte {
	from := uint64(number) * 0x9e3779b97f4a7c15 >> 44 // 20 bits: below poolBytes
	return w.pool[from : from+uint64(w.valueBytes)]
}

// check compares a value whole.
func (w *workload) check(number int, value []byte) error {
	if err := w.checkStamp(number, value); err != nil {
		return err
	}
	if !bytes.Equal(value[stampBytes:], w.body(number)[stampBytes:]) {
		return fmt.Errorf("key %d has a value whose bytes are not those that were written", number)
	}
	return nil
}

// checkStamp compares a value's length and number.
func (w *workload) checkStamp(number int, value []byte) error {
	if len(value) != w.valueBytes {
		return fmt.Errorf("key %d has a value of %d bytes, want %d", number, len(value), w.valueBytes)
	}
	if got := binary.LittleEndian.Uint64(value); got != uint64(number) {
		return fmt.Errorf("key %d has the value of key %d", number, got)
	}
	return nil
}
