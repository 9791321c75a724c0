"""The commands in bin/: each reads its flags and calls one public function."""
