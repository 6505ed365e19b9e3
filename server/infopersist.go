package server

import (
	"fmt"
	"math"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

// INFO's section Persistence; the one about data files is in datafiles.go. Fields of Redis about its RDB mean the snapshots here, those about its AOF the log. The
// others are ours: log_, snapshot_, restore_ (what can be restored) and recovery_ (what the start has found).

func (t *infoText) persistence() {
	t.line("loading", bit(t.s.load.busy.Load()))
	t.line("async_loading", 0)
	if t.s.load.busy.Load() {
		t.loading()
	}
	st := t.s.store.SnapshotState()
	t.saves(&st)
	t.line("aof_rewrite_in_progress", 0) // the log is not rewritten: snapshots let old files of it go
	t.line("aof_rewrite_scheduled", 0)
	t.line("aof_enabled", bit(t.s.logged))
	if !t.s.hasFolder() {
		t.line("persistence", "none") // nothing survives the process
	}
	t.line("storage_mode", t.s.Mode())
	t.line("wal", onOff(t.s.logged))
	t.line("crash_loss", t.s.crashLoss())
	if t.s.logged {
		t.log()
	}
	if t.s.hasFolder() {
		t.snapshots(&st)
		t.folder()
		t.recovery()
	}
}

// loading is there while the store is loaded, as in Redis.
func (t *infoText) loading() {
	done, total := t.s.load.done.Load(), t.s.load.total.Load()
	t.line("loading_start_time", t.s.load.began.Load())
	t.line("loading_total_bytes", total)
	t.line("loading_loaded_bytes", done)
	if total > 0 {
		t.line("loading_loaded_perc", fmt.Sprintf("%.2f", 100*float64(done)/float64(total)))
	}
}

// saves are Redis's fields about SAVE and BGSAVE; -1 is Redis's word for a duration that there is not.
func (t *infoText) saves(st *engine.SnapshotState) {
	status, took, current := "ok", int64(-1), int64(-1)
	if st.Err != nil {
		status = "err"
	}
	if st.Took > 0 {
		took = int64(st.Took.Seconds())
	}
	if st.Running {
		current = int64(time.Since(st.Since).Seconds())
	}
	t.line("rdb_changes_since_last_save", st.Changes)
	t.line("rdb_bgsave_in_progress", bit(st.Running))
	t.line("rdb_last_save_time", t.s.lastSaved().Unix())
	t.line("rdb_last_bgsave_status", status)
	t.line("rdb_last_bgsave_time_sec", took)
	t.line("rdb_current_bgsave_time_sec", current)
	t.line("rdb_saves", st.OK)
}

// crashLoss says what may be gone after a crash, of the machine too, of what has been acknowledged at the server's level.
func (s *Server) crashLoss() string {
	switch {
	case !s.hasFolder():
		return "everything"
	case s.opt.WALOff && s.opt.SaveInterval < 0:
		return "everything since the last snapshot, none is taken unasked"
	case s.opt.WALOff:
		return fmt.Sprintf("everything since the last snapshot, taken every %ds", saveSeconds(s.opt.SaveInterval))
	case s.opt.Level == engine.LevelAlways:
		return "none"
	case s.opt.Level == engine.LevelEverysec && s.opt.SyncInterval > 0:
		return s.opt.SyncInterval.String()
	case s.opt.Level == engine.LevelEverysec:
		return "1s"
	}
	return "5s"
}

// saveSeconds is an interval as the driver of the snapshots keeps it, which looks once a second.
func saveSeconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }

// syncSetting is the server's level as --sync has it.
func (s *Server) syncSetting() string {
	if s.opt.Level == engine.LevelEverysec && s.opt.SyncInterval > 0 {
		return "interval=" + s.opt.SyncInterval.String()
	}
	return s.opt.Level.String()
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

func (t *infoText) log() {
	state := t.s.store.LogState()
	status := "ok"
	if state == engine.LogFull || state == engine.LogFailed {
		status = "err"
	}
	t.line("aof_last_write_status", status)
	t.line("log_sync", t.s.syncSetting())
	t.line("log_on_io_error", t.s.opt.OnIOError)
	t.line("log_status", state)
	if err := t.s.store.LogError(); err != nil {
		t.line("log_error", string(appendOneLine(nil, err.Error())))
	}
	t.line("log_appended_lsn", t.s.store.Appended())
	t.line("log_written_lsn", t.s.store.Written())
	t.line("log_durable_lsn", t.s.store.Durable())
	t.line("log_records", t.es.LogRecords)
	t.line("log_frames", t.es.LogFrames)
	t.line("log_bytes", t.es.LogBytes)
	t.line("log_writes", t.es.LogWrites)
	t.line("log_syncs", t.es.LogSyncs)
}

// snapshots tells about the newest one, the one that is under way, and why there may be none.
func (t *infoText) snapshots(st *engine.SnapshotState) {
	links := t.s.hasDataFiles() // nothing is compressed, and no writer saves anything for them
	if !links {
		t.line("snapshot_compression", t.s.opt.Compression)
	}
	t.line("snapshot_automatic", bit(st.AutoOff == ""))
	if st.AutoOff != "" {
		t.line("snapshot_automatic_off", st.AutoOff)
	}
	if st.Running {
		t.line("snapshot_current_keys", st.Keys)
		t.line("snapshot_current_bytes", st.Bytes)
	}
	if n := st.Newest; !n.Time.IsZero() {
		t.line("snapshot_lsn", n.LSN)
		t.line("snapshot_time", n.Time.UTC().Format(infoTime))
		t.line("snapshot_keys", n.Keys)
		t.line("snapshot_bytes", n.Bytes)
		if !n.Linked {
			t.line("snapshot_raw_bytes", n.RawBytes)
			t.line("snapshot_hash", n.Hash)
		}
	}
	t.line("snapshot_failures", st.Failed)
	if st.Err != nil {
		t.line("snapshot_error", string(appendOneLine(nil, st.Err.Error())))
		t.line("snapshot_error_time", st.ErrAt.UTC().Format(infoTime))
	}
	if links {
		return
	}
	t.line("snapshot_buffers", t.es.SnapshotBytes)
	t.line("snapshot_emitted", t.es.SnapshotEmitted)
	t.line("snapshot_busy", t.es.SnapshotBusy)
}

// infoTime is how times are written: as "nitrokv restore --to-time" takes them.
const infoTime = "2006-01-02T15:04:05.000Z07:00"

// folder tells what is on disk, and between which moments a restore can choose. The time of the oldest one is absent if that
// is the empty store. Where the log is the data no more is told than the newest: how far the past goes back, a restore
// finds out.
func (t *infoText) folder() {
	f := t.s.store.Folder()
	t.line("snapshot_files", f.Snapshots)
	t.line("snapshot_files_bytes", f.SnapshotBytes)
	if disk, err := t.s.diskBytes(); err == nil {
		t.line("folder_disk_bytes", disk)
	}
	newest := f.Newest.LSN
	if t.s.logged {
		newest = max(newest, t.s.store.Durable())
		t.line("log_files", f.LogFiles)
		t.line("log_files_bytes", f.LogBytes)
	}
	t.line("restore_newest_lsn", newest)
	if t.s.hasDataFiles() {
		return
	}
	if t.s.logged {
		t.line("log_since_snapshot_bytes", f.LogSince)
	}
	t.line("restore_oldest_lsn", f.OldestLSN)
	if !f.OldestTime.IsZero() {
		t.line("restore_oldest_time", f.OldestTime.UTC().Format(infoTime))
	}
}

// recovery tells what was found in the folder at the start.
func (t *infoText) recovery() {
	if t.s.load.busy.Load() {
		return
	}
	r := t.s.store.Recovery()
	t.line("recovery_created", bit(r.Created))
	t.line("recovery_clean_stop", bit(r.Clean))
	t.line("recovery_snapshot_lsn", r.SnapshotLSN)
	t.line("recovery_snapshot_keys", r.SnapshotKeys)
	t.line("recovery_snapshot_bytes", r.SnapshotBytes)
	t.line("recovery_files", r.Files)
	t.line("recovery_bytes", r.Bytes)
	t.line("recovery_keys", r.Keys)
	t.line("recovery_durable_lsn", r.DurableLSN)
	t.line("recovery_last_lsn", r.LastLSN)
	t.line("recovery_tail_records", r.TailRecords)
	t.line("recovery_cut_bytes", r.CutBytes)
	t.line("recovery_seconds", fmt.Sprintf("%.3f", r.Took.Seconds()))
}
