use super::*;

fn disk(seed: u64) -> SimDisk {
    SimDisk::new(Random::new(seed), true)
}

fn read(disk: &SimDisk, name: &str) -> Option<Vec<u8>> {
    let file = disk.open(name).ok()?;
    let mut bytes = vec![0; usize::try_from(file.length().expect("it is open")).expect("small")];
    file.read_at(0, &mut bytes).expect("it is open");
    Some(bytes)
}

#[test]
fn what_was_synced_survives_the_loss_of_power_and_the_rest_comes_in_sectors() {
    let mut seen_torn = false;
    for seed in 0..200 {
        let disk = disk(seed);
        let mut file = disk.create("log", 4096).expect("there is room");
        file.write_at(0, &[1; 2048]).expect("it works");
        file.sync().expect("it works");
        disk.sync_names().expect("it works");
        file.write_at(1024, &[2; 2048]).expect("it works");
        let torn = disk.end(Ending::Power);
        let bytes = read(&disk, "log").expect("its name was synced");
        assert_eq!(bytes.len(), 4096);
        assert_eq!(bytes[..1024], [1; 1024]);
        let sectors: Vec<&[u8]> = bytes[1024..3072].chunks(512).collect();
        for sector in &sectors {
            assert!(sector.iter().all(|byte| byte == &sector[0]), "a sector is whole");
        }
        let kept = sectors.iter().filter(|sector| sector[0] == 2).count();
        assert_eq!(torn, (1..4).contains(&kept), "seed {seed}: {kept} sectors");
        seen_torn |= torn;
    }
    assert!(seen_torn);
}

#[test]
fn a_name_that_was_not_synced_may_go_and_may_stay() {
    let stays = (0..100).filter(|seed| {
        let disk = disk(*seed);
        let mut file = disk.create("new", 0).expect("there is room");
        file.write_at(0, b"content").expect("it works");
        file.sync().expect("it works");
        disk.end(Ending::Power);
        read(&disk, "new").is_some_and(|bytes| bytes == b"content")
    });
    assert!((10..90).contains(&stays.count()));
}

#[test]
fn a_process_that_dies_loses_only_what_it_had_not_done() {
    let mut lengths = BTreeSet::new();
    for seed in 0..100 {
        let disk = disk(seed);
        disk.start(Lane::Log);
        let mut file = disk.create("log", 0).expect("there is room");
        disk.finish(Lane::Log);
        disk.start(Lane::Log);
        for position in 0..3 {
            file.write_at(position, &[7]).expect("it works");
        }
        disk.end(Ending::Process);
        lengths.insert(read(&disk, "log").expect("it was finished").len());
    }
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn a_cut_in_one_lane_leaves_what_another_lane_finished() {
    for seed in 0..50 {
        let disk = disk(seed);
        disk.start(Lane::Log);
        let mut log = disk.create("log", 0).expect("there is room");
        log.write_at(0, b"log").expect("it works");
        disk.start(Lane::Snapshots);
        let mut snapshot = disk.create("snapshot", 0).expect("there is room");
        snapshot.write_at(0, b"snapshot").expect("it works");
        snapshot.sync().expect("it works");
        disk.sync_names().expect("it works");
        disk.finish(Lane::Snapshots);
        disk.end(Ending::Power);
        assert_eq!(read(&disk, "snapshot").as_deref(), Some(&b"snapshot"[..]), "seed {seed}");
    }
}

#[test]
fn a_failed_sync_drops_the_pages_and_a_second_one_does_not_bring_them_back() {
    let lost = (0..100).filter(|seed| {
        let disk = disk(*seed);
        let mut file = disk.create("log", 512).expect("there is room");
        file.sync().expect("it works");
        disk.sync_names().expect("it works");
        file.write_at(0, &[9; 512]).expect("it works");
        disk.set_trouble(Some(Trouble::Fails { after: 0 }));
        assert!(file.sync().is_err());
        disk.set_trouble(None);
        file.sync().expect("it works again");
        assert_eq!(read(&disk, "log"), Some(vec![9; 512]), "readers see the page");
        disk.end(Ending::Power);
        read(&disk, "log") == Some(vec![0; 512])
    });
    assert!((10..90).contains(&lost.count()));
}

#[test]
fn a_full_disk_says_so() {
    let disk = disk(1);
    disk.set_trouble(Some(Trouble::Full { after: 100 }));
    let mut file = disk.create("a", 60).expect("there is room");
    assert_eq!(file.write_at(50, &[0; 60]).map_err(|error| error.kind), Err(DiskErrorKind::Full));
    file.write_at(50, &[0; 40]).expect("30 more bytes fit");
}
