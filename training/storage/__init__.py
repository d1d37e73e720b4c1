"""Files that several machines share: a mounted folder or an object store."""
