# Fuzz targets, one for each parser of bytes from outside.
fuzz_TARGETS += tests/fuzz/fuzz_record
