"""RocksDB options of a topic's copy on disk: its memory is bounded at any size."""

from rocksdict import BlockBasedOptions, Cache, Options


def options_of_a_copy() -> Options:
    """Keys and values are bytes; 16 MB of cache with the filters in it, 16 MB of writes."""
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(8 << 20)
    options.set_max_write_buffer_number(2)
    table = BlockBasedOptions()
    table.set_block_cache(Cache(16 << 20))
    table.set_bloom_filter(10, block_based=False)
    table.set_cache_index_and_filter_blocks(True)
    options.set_block_based_table_factory(table)
    return options
