package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// What docs/FORMAT.md says about a log file, as far as counting needs it.
const (
	logHeader    = 512 // bytes in front of the frames
	frameHeader  = 56
	frameMagic   = "NKFR"
	frameBytes   = 8  // offset of the size of the records
	frameDurable = 24 // offset of the durable LSN
)

// A logTally is what the log files of a folder tell about their making.
type logTally struct {
	bytes int64 // of frames
	syncs int   // that were over before a frame was written: each frame carries the durable LSN, which a sync raises
}

// readLog counts the frames of a folder's log. Its server may be running, but should be idle.
func readLog(dir string) (logTally, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return logTally{}, err
	}
	if len(names) == 0 {
		return logTally{}, fmt.Errorf("%s holds no log", dir)
	}
	var sum logTally
	for _, name := range names { // in the order of their numbers, which have leading zeros
		if err := sum.add(name); err != nil {
			return logTally{}, err
		}
	}
	return sum, nil
}

// add counts one file's frames: from one to the next, up to where there is none.
func (t *logTally) add(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, frameHeader)
	durable := uint64(0)
	for at := int64(logHeader); ; {
		if _, err := f.ReadAt(head, at); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if string(head[:len(frameMagic)]) != frameMagic {
			return nil
		}
		if lsn := binary.LittleEndian.Uint64(head[frameDurable:]); lsn != durable {
			durable = lsn
			t.syncs++
		}
		size := frameHeader + int64(binary.LittleEndian.Uint32(head[frameBytes:]))
		t.bytes += size
		at += size
	}
}
