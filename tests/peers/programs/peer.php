<?php
// What the tests ask of an application (see tests/peers/__init__.py), for PHP.

while (ob_get_level() > 0) {
    ob_end_clean();
}
set_time_limit(0);
$block = substr(str_repeat('abcdefghijklmnopqrstuvw', 2850), 0, 65536);

function quoted(string $text): string
{
    $quote = fn($found) => sprintf('\u%04x', ord($found[0]));
    return '"' . preg_replace_callback('/[^ !#-\[\]-~]/', $quote, $text) . '"';
}

function await(string $path): void
{
    for ($turn = 0; !file_exists($path); $turn++) {
        if ($turn == 6000) {
            exit("$path does not come\n");
        }
        usleep(10000);
        clearstatcache();
    }
}

switch ($_GET['do'] ?? '') {
    case 'env':
        header('Content-Type: application/json');
        foreach (array_filter($_SERVER, 'is_string') as $name => $value) {
            echo '[', quoted($name), ',', quoted($value), "]\n";
        }
        break;
    case 'count':
        header('Content-Type: text/plain');
        $sum = hash_init('crc32b');
        $length = hash_update_stream($sum, fopen('php://input', 'rb'));
        echo $length, ' ', hash_final($sum), "\n";
        break;
    case 'stream':
        header('Content-Type: application/octet-stream');
        for ($left = (int)$_GET['bytes']; $left > 0; $left -= 65536) {
            echo $left < 65536 ? substr($block, 0, $left) : $block;
        }
        break;
    case 'stderr':
        header('Content-Type: text/plain');
        error_log($_GET['text']);
        echo "said\n";
        break;
    case 'exit':
        header('Content-Type: text/plain');
        header('Content-Length: 100000');
        echo substr($block, 0, 1000);
        flush();
        posix_kill(getmypid(), 9);
        break;
    case 'events':
        header('Content-Type: text/event-stream');
        for ($n = 0; $n < $_GET['count']; $n++) {
            if ($n) {
                await($_GET['gates'] . '/' . $n);
            }
            echo "data: $n\n\n";
            flush();
        }
        break;
    case 'meet':
        header('Content-Type: text/plain');
        touch($_GET['place'] . '/' . $_GET['name']);
        for ($n = 0; $n < $_GET['count']; $n++) {
            await($_GET['place'] . '/' . $n);
        }
        echo "met\n";
        break;
    case 'forever':
        header('Content-Type: text/plain');
        register_shutdown_function(function () {
            if (connection_aborted()) {
                touch($_GET['marker']);
            }
        });
        for ($turn = 0; $turn < 6000; $turn++) {
            echo substr($block, 0, 1024);
            flush();
            usleep(10000);
        }
        break;
    default:
        http_response_code(404);
}
