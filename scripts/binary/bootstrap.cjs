// The main script of the single executable. Threads and native addons can only be loaded from files, so it puts
// the files that the executable carries into a directory that only this user can write to, and goes on there.
'use strict';
const fs = require('node:fs');
const { createRequire } = require('node:module');
const os = require('node:os');
const path = require('node:path');
const sea = require('node:sea');

/** Cleaners of temporary directories take what is a few days old; a worker may have to be started again later. */
const REFRESH_EVERY_MS = 6 * 60 * 60 * 1000;

/** @type {{id: string, files: string[]}} `id` is a hash over the names and contents of the files */
const manifest = JSON.parse(sea.getAsset('manifest.json', 'utf8'));

/** The directories that may hold the files, best first. */
function candidates() {
  const parents = [];
  const { XDG_CACHE_HOME: cache, HOME: home } = process.env;
  if (cache && path.isAbsolute(cache)) parents.push(cache);
  else if (home && path.isAbsolute(home)) parents.push(path.join(home, '.cache'));
  parents.push(os.tmpdir());
  const user = process.getuid === undefined ? 'user' : process.getuid();
  return parents.map((parent) => path.join(parent, `vasto-${user}-${manifest.id.slice(0, 16)}`));
}

/** @returns {string} a directory with the files, all of them verified */
function unpack() {
  for (const directory of candidates()) {
    try {
      if (isIntact(directory)) return directory;
      if (install(directory)) return directory;
    } catch {
      // Not a place where this user can write, or one that somebody else has taken: the next one.
    }
  }
  // Nobody can have foreseen this name; it goes when the process does.
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'vasto-'));
  process.once('exit', () => fs.rmSync(directory, { recursive: true, force: true }));
  writeFiles(directory);
  return directory;
}

/**
 * Whether a directory belongs to this user alone and its files are those of this executable, byte for byte:
 * comparing with what the executable carries is quicker than hashing, and leaves nothing to believe.
 */
function isIntact(directory) {
  if (!isPrivate(directory)) return false;
  return manifest.files.every((name) => {
    try {
      const file = path.join(directory, name);
      return fs.lstatSync(file).isFile() && fs.readFileSync(file).equals(asset(name));
    } catch {
      return false;
    }
  });
}

function isPrivate(directory) {
  try {
    const status = fs.lstatSync(directory);
    const owned = process.getuid === undefined || status.uid === process.getuid();
    return status.isDirectory() && owned && (status.mode & 0o077) === 0;
  } catch {
    return false;
  }
}

/** Writes all files beside `directory`, then puts them in its place: other processes see all of them or none. */
function install(directory) {
  const parent = path.dirname(directory);
  fs.mkdirSync(parent, { recursive: true, mode: 0o700 });
  const staged = fs.mkdtempSync(path.join(parent, '.vasto-new-'));
  try {
    writeFiles(staged);
    try {
      fs.renameSync(staged, directory);
    } catch {
      // Another process was first, or what is there is damaged; then it is moved out of the way.
      if (isIntact(directory)) return true;
      const damaged = path.join(staged, 'damaged');
      fs.renameSync(directory, damaged);
      const fresh = fs.mkdtempSync(path.join(parent, '.vasto-new-'));
      writeFiles(fresh);
      fs.renameSync(fresh, directory);
    }
    return isIntact(directory);
  } finally {
    fs.rmSync(staged, { recursive: true, force: true });
  }
}

function writeFiles(directory) {
  for (const name of manifest.files)
    fs.writeFileSync(path.join(directory, name), asset(name), { mode: 0o600 });
}

/** A view of a file's bytes in the executable itself; nothing may write to it. */
function asset(name) {
  return Buffer.from(sea.getRawAsset(name));
}

/** Keeps the files young, and brings back those that were taken away. */
function refresh(directory) {
  const now = new Date();
  try {
    for (const name of manifest.files) fs.utimesSync(path.join(directory, name), now, now);
    fs.utimesSync(directory, now, now);
  } catch {
    try {
      if (!isIntact(directory)) install(directory);
    } catch {
      // Tried again next time; until then only the restart of a dead worker would fail.
    }
  }
}

const directory = unpack();
setInterval(() => refresh(directory), REFRESH_EVERY_MS).unref();
createRequire(path.join(directory, 'main.cjs'))('./main.cjs');
