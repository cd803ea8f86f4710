//! The small files of RAPL: numbers, lists of processors, names of zones, events of a PMU, `cpuinfo`.

use rapl_sys::perf::{parse_event, parse_format, parse_unit};
use rapl_sys::text::{parse_cpu_list, parse_u64};
use rapl_sys::topology::parse_cpu_name;
use rapl_sys::{Identity, Kind, Processor, msr, quirks};

/// Plays one input.
pub fn run(data: &[u8]) {
    if let Some(number) = parse_u64(data) {
        assert_eq!(parse_u64(number.to_string().as_bytes()), Some(number));
        assert!(msr::parse_units(number).is_none_or(|esu| esu < 32));
    }
    if let Some(cpus) = parse_cpu_list(data) {
        assert!(cpus.is_sorted_by(|a, b| a < b) && cpus.len() <= 1 << 16);
    }
    if let Some(bits) = parse_format(data) {
        let number = parse_event(data).unwrap_or(1);
        assert!(bits.place(number).is_none_or(|placed| placed >> bits.low == number), "{bits:?}");
    }
    if let Some(event) = parse_event(data) {
        assert_eq!(parse_event(format!("event={event:#x}\n").as_bytes()), Some(event));
    }
    assert!(parse_unit(data).is_none() || data.trim_ascii().len() == 6);
    let processor = Processor::parse(data);
    assert!(quirks::fixed_esu(&processor, Kind::Dram).is_none_or(|esu| esu < 32));
    let _ = quirks::counts_in_microjoules(&processor);
    let text = String::from_utf8_lossy(data);
    assert!(parse_cpu_name(&text).is_none() || text.starts_with("cpu"));
    identities(&text);
}

/// The first line is a zone, the second one inside it.
fn identities(text: &str) {
    let mut lines = text.lines();
    let parent = Identity::parse(lines.next().unwrap_or_default(), None);
    let child = Identity::parse(lines.next().unwrap_or_default(), Some(&parent));
    for zone in [&parent, &child] {
        assert!(zone.device().starts_with("socket") || zone.device().starts_with("platform"));
        if zone.kind == Kind::Package {
            let again = Identity::parse(&zone.to_string(), None);
            assert_eq!((again.package, again.die), (zone.package, zone.die));
        }
    }
}
