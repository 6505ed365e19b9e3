package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/nitrokv/nitrokv/engine"
)

// Mode bitcask: keys in memory, values in data files (docs/design/0006). Here is what a server in that mode says and does
// differently: MERGE merges, and INFO, /readyz and /metrics tell how the data files are.

const (
	noMergeText = "ERR this server keeps its values in memory and has no data files to merge: MERGE is for servers that run " +
		"with --mode bitcask"
)

// Mode is where this server keeps values: what Options.Mode says, or else what the folder was made for.
func (s *Server) Mode() engine.Mode { return s.store.Mode() }

// hasDataFiles reports whether the files of the log are the data.
func (s *Server) hasDataFiles() bool { return s.Mode() == engine.ModeBitcask }

// merge is MERGE: the answer comes when everything that is dead now has been merged, as far as it can be. Others go on
// meanwhile, and those who ask at the same time share the work.
func (r *request) merge() {
	s := r.c.srv
	if !s.hasDataFiles() {
		r.fail(noMergeText)
		return
	}
	ctx, unblock, ok := r.c.block(context.Background(), r.fd, r.ch)
	if !ok {
		return
	}
	defer unblock()
	switch err := s.store.Merge(ctx); {
	case err == nil:
		r.ok()
	case errors.Is(err, engine.ErrLoading):
		r.fail(loadingText)
	default:
		s.log.Warn("MERGE has not come to its end", "client", r.c.id, "error", err)
		r.mergeError(ctx, err)
	}
}

// mergeError answers why a merge has not come to its end.
func (r *request) mergeError(ctx context.Context, err error) {
	if ctx.Err() != nil {
		r.fail("ERR the server is shutting down: the merge was given up, and all data is as it was")
		return
	}
	r.fail("ERR the merge was given up, and all data is as it was: %v", err)
}

// dataFiles is what INFO and metrics say about the data files.
type dataFiles struct {
	engine.DataFiles
	logBytes uint64 // written by requests since the start
}

// records is the size of all records, deletes included: without what stands between them, which merges go by no more than this.
func (d *dataFiles) records() uint64 { return d.PutBytes + d.GoneBytes }

// dead is what merges work on: records that no key refers to, deletes included.
func (d *dataFiles) dead() uint64 { return d.records() - min(d.LiveBytes, d.records()) }

// deadRatio is the dead share of the records.
func (d *dataFiles) deadRatio() float64 {
	if d.records() == 0 {
		return 0
	}
	return float64(d.dead()) / float64(d.records())
}

// amplification is how many bytes were written for each byte that requests have: those of merges come on top. It is not
// known before something was written.
func (d *dataFiles) amplification() (ratio float64, known bool) {
	if d.logBytes == 0 {
		return 0, false
	}
	return float64(d.logBytes+d.MergeWrittenBytes) / float64(d.logBytes), true
}

// dataFiles looks at the data files; zeros in other modes, and while the store is loaded.
func (s *Server) dataFiles(es *engine.Stats) dataFiles {
	d := dataFiles{logBytes: es.LogBytes}
	if s.hasDataFiles() {
		d.DataFiles = s.store.DataFiles()
	}
	return d
}

// bitcask is INFO's section of that name.
func (t *infoText) bitcask() {
	d := t.s.dataFiles(&t.es)
	t.line("data_files", d.Files)
	t.line("data_files_merged", d.MergedFiles)
	t.line("data_bytes", d.Bytes)
	t.line("live_bytes", d.LiveBytes)
	t.line("dead_bytes", d.dead())
	t.line("dead_ratio", fmt.Sprintf("%.4f", d.deadRatio()))
	t.line("tombstone_bytes", d.GoneBytes)
	t.line("disk_left_bytes", d.DiskLeft)
	t.line("disk_scarce", bit(d.DiskScarce))
	t.line("hints", d.Hints)
	t.line("hints_loaded", d.HintsLoaded)
	t.line("hints_rebuilt", d.HintsRebuilt)
	t.line("merge_automatic", bit(!t.s.opt.Merge.Off))
	t.line("merge_in_progress", bit(d.Merging))
	t.line("merges", d.Merges)
	t.line("merge_read_bytes", d.MergeReadBytes)
	t.line("merge_written_bytes", d.MergeWrittenBytes)
	t.line("merge_dropped_bytes", d.MergeDroppedBytes)
	if ratio, known := d.amplification(); known {
		t.line("write_amplification", fmt.Sprintf("%.2f", ratio))
	}
	t.line("value_compression", t.s.opt.ValueCompression)
	t.line("value_packed", t.es.PackedValues)
	t.line("value_raw_bytes", t.es.PackRawBytes)
	t.line("value_stored_bytes", t.es.PackStoredBytes)
	t.line("map_files", bit(t.s.opt.MapFiles))
	t.line("cache_size", t.s.opt.CacheBytes)
	t.line("cache_bytes", d.CacheBytes)
	t.line("cache_values", d.CacheValues)
	t.line("cache_hits", d.CacheHits)
	t.line("cache_misses", d.CacheMisses)
	t.line("cache_evictions", d.CacheEvictions)
	t.line("damaged_files", d.DamagedFiles)
	t.line("damaged_reads", d.DamagedReads)
}

// damageReason says why a server is degraded that can still be written to; empty: it is not.
func (s *Server) damageReason() string {
	if !s.hasDataFiles() {
		return ""
	}
	switch n := s.store.DataFiles().DamagedFiles; n {
	case 0:
		return ""
	case 1:
		return "a data file is damaged: some keys cannot be read, and the file is not merged; write or delete them, then see nitrokv check and nitrokv convert"
	default:
		return fmt.Sprintf("%d data files are damaged: some keys cannot be read, and the files are not merged; write or delete them, "+
			"then see nitrokv check and nitrokv convert", n)
	}
}

// noteDamage logs that a data file has turned out to be damaged, once for each.
func (s *Server) noteDamage() {
	if !s.hasDataFiles() {
		return
	}
	d := s.store.DataFiles()
	if d.DamagedFiles > s.damaged {
		s.log.Error("a data file is damaged: reads of what is damaged get errors, and the file is not merged; make a copy of the folder, "+
			"and see nitrokv check", "dir", s.opt.Dir, "damaged_files", d.DamagedFiles, "damaged_reads", d.DamagedReads)
	}
	s.damaged = d.DamagedFiles
}

// warnOfDamage says in the log that what somebody takes away holds damage. It is still worth taking: the rest is whole.
func (s *Server) warnOfDamage(what string, client uint64) {
	if reason := s.damageReason(); reason != "" {
		s.log.Warn(what+" holds what is damaged, and will not verify: "+reason, "client", client)
	}
}
